{{- define "cert-manager.image" -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default "v1.19.1" }}{{ end -}}
{{- end -}}
