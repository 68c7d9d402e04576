// Package chart knows what the platform's Helm chart needs on a site without
// internet: which values make it take every image from the site's registry,
// and whether the registry has everything that the platform will ask for.
//
// A release's values are read out of its chart instead of a table per release.
// Three layouts are documented by the vendor (administrator's guide, "Airgap
// installation", of 1.0, 1.1 and 1.2) and later ones moved on; what never
// moved is how charts write an image. So Derive walks the merged values of the
// chart and all of its subcharts, maps each image that it finds to the
// repository that the registry has, and sets a key only where the chart has
// it. Whether that was enough is then not believed but tried: Closure renders
// the chart twice, as it is installed and as the platform's own controller
// renders it in its second pass (k0rdent/kcm, internal/controller/components,
// values.go), reads the release and templates that the controller fetches
// next, and asks the registry for every image, chart and artifact in them.
//
// Charts are loaded, merged, validated and rendered by Helm's own packages, so
// that what is checked is what an install does; nothing here talks to a
// cluster. The registry is reached through Inventory alone. Every function may
// be called from several goroutines, a Chart is never changed.
//
// Helm's packages write warnings about values to the standard logger; a
// program directs it where it wants.
package chart
