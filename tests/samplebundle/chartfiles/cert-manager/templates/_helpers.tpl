{{- define "cert-manager.image" -}}
{{- $image := index . 0 -}}{{- $default := index . 1 -}}
{{- if $image.registry }}{{ $image.registry }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $default }}{{ end -}}
{{- end -}}
