// Package chart determines what the platform's Helm chart requires on a site
// without internet: the values with which it pulls every image from the site's
// registry, and whether the registry has everything that the platform requests.
//
// The values are derived from the chart itself, not from a table per release. The
// vendor documents three layouts of them (administrator's guide, "Airgap
// installation", of 1.0, 1.1 and 1.2), and later releases changed them again, but
// charts have always written an image in the same few ways. So Derive walks the
// merged values of the chart and its subcharts, maps each image to a repository of
// the registry, and sets only keys that the chart has. Closure then checks the
// result: it renders the chart twice, as it is installed and as the platform's
// controller renders it in its second pass (k0rdent/kcm,
// internal/controller/components, values.go), reads the release and the templates
// that the controller fetches next, and looks up every image, chart and artifact
// in them.
//
// Charts are loaded, merged, validated and rendered by Helm's own packages, as in
// an install. Nothing here connects to a cluster, and only an Inventory connects to
// the registry. All functions are safe for concurrent use; a Chart never changes.
//
// Helm's packages write warnings about values to the standard logger.
package chart
