// Package registry serves the OCI distribution API, version 1.1, whole: pull,
// push, listing, referrers and deletion.
//
// A request is parsed once into a Request with a Kind (request.go); a table
// maps each Kind to a handler (handler.go); each handler returns an error; and
// one place (errors.go) turns errors into the answers of the specification.
// Handlers reach content through Store alone, whose methods list the errors
// that they may return.
//
// Disk is the store that oci-serve uses. It keeps a real OCI image layout for
// every repository, so other programs can read it without a server:
//
//	STORAGE/lock                                  held while a process uses the storage
//	STORAGE/format, clock                         the version of this format; the storage's time
//	STORAGE/blobs/<algorithm>/<hex>               the pool: every blob once
//	STORAGE/repositories/<name>/_layout/          an OCI image layout, and beside its blobs
//	    tags/<tag>                                a link to the manifest's blob
//	    manifests/<algorithm>/<hex>               a link that holds the media type
//	    referrers/<algorithm>/<subject>/<digest>  a link for each manifest with that subject
//	    deleted/<digest>                          a note for each deletion by digest that is not completed
//	STORAGE/uploads/                              bytes on their way in
//	STORAGE/quarantine/                           what a repair set aside, by its path
//
// A layout's blobs are hard links to the pool. That makes deduplication and
// mount a link, membership a stat, deletion an unlink, and garbage collection
// a look at the link count. "_" cannot start a component of a repository name,
// so "_layout" collides with no repository.
//
// The file system is the only record of what there is. A name is locked while it
// is changed, and unlocked when the change is on disk for good, so nobody sees
// what a crash could take back; requests that change one directory share its
// syncs (durable.go). Files are synced before a directory names them, blobs come
// before the manifest that names them, and tags last. If a sync fails, the change
// is taken back, and it is made again before it counts.
//
// index.json is made from the tags and manifests for other programs, within a
// second of the last change, at a stop, and after a crash at the next start. It
// ends with the dates of the directories that it was made from, which shows
// whether it is up to date.
//
// The API of this package for a server is New, Options, Handler and what those
// use; Share, Network, NetworkOf and FromLoopback, which treat clients alike; and
// WriteError with the errors. For a storage it is OpenDisk, Disk, IsStorage and
// Scrub. A further Store needs the types in store.go and Session. Nothing else is
// for other packages.
package registry
