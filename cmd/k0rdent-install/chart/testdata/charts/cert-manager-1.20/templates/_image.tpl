{{- define "cert-manager.image" -}}
{{- $image := index . 0 }}{{ $values := index . 1 }}
{{- if $image.repository }}{{ $image.repository }}{{ else }}{{ $values.imageRegistry }}/{{ $values.imageNamespace }}/{{ $image.name }}{{ end }}
{{- if or $image.tag (not $image.digest) }}:{{ $image.tag | default "v1.20.2" }}{{ end }}
{{- with $image.digest }}@{{ . }}{{ end -}}
{{- end -}}
