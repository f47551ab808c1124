{{- define "weir.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end }}

{{/* Labels by which pods are found: (list root component) */}}
{{- define "weir.selector" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of every object: (list root component) */}}
{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}

{{/* The head of every pod. */}}
{{- define "weir.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* What every container has: (list root component) */}}
{{- define "weir.container" -}}
{{- $root := index . 0 -}}
image: {{ printf "%s:%s" $root.Values.image.repository ($root.Values.image.tag | default $root.Chart.AppVersion) | quote }}
{{- if and $root.Values.senders.secretName (has (index . 1) (list "web" "relay" "worker")) }}
envFrom:
  - secretRef: {name: {{ $root.Values.senders.secretName }}}
{{- end }}
resources:
  {{- toYaml (index $root.Values (index . 1)).resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* Settings, and the secrets that the process needs: (list root component) */}}
{{- define "weir.env" -}}
{{- $component := index . 1 }}
{{- $senders := list "EMAIL_PASSWORD" "STRIPE_SECRET_KEY" "STRIPE_WEBHOOK_SECRET" "CLICKHOUSE_PASSWORD" "RECORD_SINK_SECRET" }}
{{- $servers := concat $senders (list "METRICS_TOKEN" "OTEL_EXPORTER_OTLP_HEADERS") }}
{{- $more := dict "web" $servers "relay" $servers "worker" $senders }}
{{- with index . 0 }}
{{- $secret := .Values.secretName }}
{{- range list "SECRET_KEY" "WEIR_KEK" "WEIR_KEY_PEPPER" "DATABASE_URL" "BROKER_URL" }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ . }}}}
{{- end }}
{{- range get $more $component | default list }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $secret }}, key: {{ . }}, optional: true}}
{{- end }}
- {name: HOME, value: /tmp}
- {name: PUBLIC_URL, value: {{ .Values.publicUrl | quote }}}
{{- if not (hasKey .Values.settings "ALLOWED_HOSTS") }}
- name: ALLOWED_HOSTS
  value: {{ printf "%s,%s-web.%s.svc,127.0.0.1,localhost" (urlParse .Values.publicUrl).hostname (include "weir.name" .) .Release.Namespace | quote }}
{{- end }}
{{- $settings := .Values.settings }}
{{- if .Values.backup.enabled }}
{{- $ofBackup := dict "BACKUP_EVERY_HOURS" "24" "BACKUP_KEEP_DAYS" (toString .Values.backup.keepDays) }}
{{- $settings = merge $ofBackup $settings }}
{{- end }}
{{- range $name, $value := $settings }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- if .Values.trust.configMap }}
- {name: SSL_CERT_FILE, value: {{ printf "/etc/weir/trust/%s" .Values.trust.file | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "weir.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if .Values.trust.configMap }}
- {name: trust, mountPath: /etc/weir/trust, readOnly: true}
{{- end }}
{{- end }}

{{- define "weir.volumes" -}}
- name: tmp
  emptyDir: {medium: Memory, sizeLimit: 256Mi}
{{- if .Values.trust.configMap }}
- name: trust
  configMap: {name: {{ .Values.trust.configMap }}}
{{- end }}
{{- end }}

{{/* The pod of a web process: (list root component) */}}
{{- define "weir.server" -}}
{{- $root := index . 0 -}}
{{ include "weir.pod" $root }}
# Longer than streams are let run (DRAIN_SECONDS and --timeout-graceful-shutdown).
terminationGracePeriodSeconds: 660
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "weir.selector" . | nindent 8 }}
containers:
  - name: web
    {{- include "weir.container" . | nindent 4 }}
    command:
      - python
      - -m
      - deploy.exit_zero
      - config.asgi:application
      - --host=0.0.0.0
      - --port=8000
      - --loop=config.server.event_loop:EventLoop
      - --http=config.server.protocol:Protocol
      - --lifespan=on
      - --no-server-header
      - --no-access-log
      - --log-level=warning
      - --timeout-keep-alive=75
      - --timeout-graceful-shutdown=630
      - --proxy-headers
      - --forwarded-allow-ips={{ $root.Values.trustedProxies }}
    env:
      {{- include "weir.env" . | nindent 6 }}
      - {name: SPOOL_DIR, value: /var/spool/weir}
    ports:
      - {name: http, containerPort: 8000}
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: 2
      failureThreshold: 2
    livenessProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    startupProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 1
      failureThreshold: 60
    volumeMounts:
      {{- include "weir.mounts" $root | nindent 6 }}
      - {name: spool, mountPath: /var/spool/weir}
volumes:
  {{- include "weir.volumes" $root | nindent 2 }}
{{- end }}
