{{/* A Deployment of one container: name and image. */}}
{{- define "platform.deployment" }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .name }}
spec:
  selector: {matchLabels: {app: {{ .name }}}}
  template:
    metadata: {labels: {app: {{ .name }}}}
    spec:
      containers:
      - name: main
        image: {{ .image | quote }}
        args: {{ toJson (default list .args) }}
{{- end }}
{{/* A Job that runs as a hook: name, image, event. */}}
{{- define "platform.hook" }}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .name }}
  annotations:
    helm.sh/hook: {{ .event }}
    helm.sh/hook-delete-policy: before-hook-creation,hook-failed
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: main
        image: {{ .image | quote }}
{{- end }}
