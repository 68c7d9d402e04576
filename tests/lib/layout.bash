# OCI layouts made by hand, for archives that no tool writes on purpose. Every
# function prints a descriptor, which the next one takes.

oci=application/vnd.oci.image

# blob LAYOUT TYPE: adds stdin as a blob.
blob() {
  local file=$1/blob digest
  mkdir -p "$1/blobs/sha256"
  cat >"$file"
  digest=$(sha256sum <"$file" | cut -c -64)
  jq -cn --arg type "$2" --arg digest "sha256:$digest" --argjson size "$(stat -c %s "$file")" \
    '{mediaType: $type, digest: $digest, size: $size}'
  mv "$file" "$1/blobs/sha256/$digest"
}

# manifest LAYOUT CONFIG LAYER [SUBJECT]: adds an image manifest.
manifest() {
  jq -cn --arg type $oci.manifest.v1+json --argjson config "$2" --argjson layer "$3" --argjson subject "${4-null}" \
    '{schemaVersion: 2, mediaType: $type, config: $config, layers: [$layer]} + if $subject then {subject: $subject} else {} end' |
    blob "$1" $oci.manifest.v1+json
}

# image LAYOUT TEXT [OS/ARCH[/VARIANT]]: adds an image; TEXT makes it unlike others.
image() {
  local config layer platform=${3-linux/amd64}
  config=$(jq -cn --arg p "$platform" '($p / "/") as $p | {os: $p[0], architecture: $p[1], rootfs: {type: "layers"}}
    + if $p[2] then {variant: $p[2]} else {} end' | blob "$1" $oci.config.v1+json)
  layer=$(printf %s "$2" | blob "$1" $oci.layer.v1.tar)
  manifest "$1" "$config" "$layer" | jq -c --arg p "$platform" '($p / "/") as $p |
    .platform = {os: $p[0], architecture: $p[1]} + if $p[2] then {variant: $p[2]} else {} end'
}

# chart LAYOUT NAME VERSION: adds a Helm chart.
chart() {
  local config layer
  config=$(jq -cn --arg name "$2" --arg version "$3" '{name: $name, version: $version, apiVersion: "v2"}' |
    blob "$1" application/vnd.cncf.helm.config.v1+json)
  layer=$(printf %s "$2 $3" | gzip -n | blob "$1" application/vnd.cncf.helm.chart.content.v1.tar+gzip)
  manifest "$1" "$config" "$layer"
}

# referrer LAYOUT SUBJECT TEXT: adds an artifact that refers to another manifest.
referrer() {
  local config layer
  config=$(printf '{}' | blob "$1" application/vnd.oci.empty.v1+json)
  layer=$(printf %s "$3" | blob "$1" text/plain)
  manifest "$1" "$config" "$layer" "$(jq -c 'del(.platform, .annotations)' <<<"$2")"
}

# index LAYOUT DESCRIPTOR…: adds an index.
index() {
  local layout=$1
  shift
  printf '%s\n' "$@" | jq -cs --arg type $oci.index.v1+json '{schemaVersion: 2, mediaType: $type, manifests: .}' |
    blob "$layout" $oci.index.v1+json
}

# named DESCRIPTOR NAME: the descriptor with a name for index.json.
named() { jq -c --arg name "$2" '.annotations["org.opencontainers.image.ref.name"] = $name' <<<"$1"; }

# digest DESCRIPTOR: its digest.
digest() { jq -r .digest <<<"$1"; }

# finish LAYOUT DESCRIPTOR…: writes index.json and oci-layout.
finish() {
  local layout=$1
  shift
  printf '%s\n' "$@" | jq -cs '{schemaVersion: 2, manifests: .}' >"$layout/index.json"
  printf '{"imageLayoutVersion": "1.0.0"}' >"$layout/oci-layout"
}

# pack LAYOUT ENTRY DESCRIPTOR…: finishes a layout and makes the entry of it.
pack() {
  local layout=$1 entry=$2
  shift 2
  finish "$layout" "$@"
  mkdir -p "$(dirname "$entry")"
  tar -cf "$entry" -C "$layout" blobs oci-layout index.json
}

# bundle DIR: makes an unpacked bundle of one chart, the product's.
bundle() {
  mkdir -p "$1/charts"
  cp "$SAMPLE"/bundle/charts/k0rdent-enterprise_1.2.3.tar "$1/charts"
}
