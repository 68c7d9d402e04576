// Package registry serves the OCI distribution API, version 1.1, whole: pull,
// push, listing, referrers and deletion.
//
// Parse turns a request into a Request with a Kind, a table maps each Kind to a
// handler, and WriteError turns a handler's error into the specification's
// response. Handlers use only the Store interface.
//
// Disk is the store of oci-serve. Every repository is an OCI image layout, so
// other programs can read it without a server:
//
//	STORAGE/lock                                  held while a process uses the storage
//	STORAGE/format, clock                         the version of this format; the storage's time
//	STORAGE/blobs/<algorithm>/<hex>               the pool: every blob once
//	STORAGE/repositories/<name>/_layout/          an OCI image layout, and next to its blobs
//	    tags/<tag>                                a link to the manifest's blob
//	    manifests/<algorithm>/<hex>               a link that holds the media type
//	    referrers/<algorithm>/<subject>/<digest>  a link for each manifest with that subject
//	    deleted/<digest>                          a mark for each deletion by digest whose tags remain
//	STORAGE/uploads/                              unfinished uploads and temporary files
//	STORAGE/quarantine/                           damaged files that a repair moved, by path
//
// A layout's blobs are hard links to the pool, so deduplication and mount are a
// link, deletion is an unlink, and garbage collection reads link counts. A
// component of a repository name cannot start with "_", so "_layout" is free.
//
// The file system is the only record. A name is locked until its change is
// durable, so nobody sees what a crash could undo; requests that change the same
// directory share its syncs (durable.go). Files are synced before a directory
// names them, blobs precede the manifest that names them, and tags come last. A
// change whose sync fails is undone, and is made again before it counts.
//
// index.json is derived from tags and manifests for other programs: within a
// second of the last change, at a stop, and at the start after a crash.
package registry
