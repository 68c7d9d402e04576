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
// every repository, so other tools can read it without a server:
//
//	STORAGE/lock                                  held while a process uses the storage
//	STORAGE/blobs/<algorithm>/<hex>               the pool: every blob once
//	STORAGE/repositories/<name>/_layout/          an OCI image layout
//	    oci-layout  index.json  blobs/<algorithm>/<hex>
//	STORAGE/uploads/                              bytes on their way in
//	STORAGE/journals/                             see below
//	STORAGE/quarantine/                           what a repair set aside, by its path
//
// A layout's blobs are hard links to the pool. That makes deduplication and
// mount a link, membership a stat, deletion an unlink, and garbage collection
// a look at the link count; there is no database that could disagree with the
// files. "_" cannot start a component of a repository name, so "_layout"
// collides with no repository.
//
// What is acknowledged has been synced to disk, files before the directories
// that name them, and a manifest before the index.json that lists it. A crash
// can therefore leave only files that nothing refers to.
//
// index.json is the record of a repository's manifests and tags. It is read
// when the repository is first used, kept in memory within a budget that all
// repositories share, and replaced as a whole, so other tools can read it at
// any time and a start does not look at it. For a repository of more than some
// 300 tags, replacing it at every push would write gigabytes (10.7 GB for the
// first 10,000 tags, 15 ms for the last of them). There each change is appended
// to a journal, synced, and folded into index.json within a second, at the
// latest when the store is closed or opened again.
package registry
