{{- define "htcdask.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "htcdask.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "htcdask.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "htcdask.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* The name of what has no namespace: two releases in one cluster must not share it. */}}
{{- define "htcdask.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "htcdask.fullname" .) }}
{{- end }}

{{- define "htcdask.selectorLabels" -}}
app.kubernetes.io/name: {{ include "htcdask.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "htcdask.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "htcdask.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "htcdask.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "htcdask.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "htcdask.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{- define "htcdask.gatewayNamespace" -}}
{{- default .Release.Namespace .Values.gateway.namespace }}
{{- end }}

{{- define "htcdask.tokenDirectory" -}}
/var/run/secrets/htcdask.org/condor
{{- end }}

{{- /* The operator's settings file: .Values.settings, and what other values say. */}}
{{- define "htcdask.settings" -}}
{{- $given := deepCopy .Values.settings }}
{{- $id := default (printf "%s.%s" .Release.Namespace (include "htcdask.fullname" .)) $given.operatorId }}
{{- $address := required "settings.schedulerAddress is needed: host:port of the gateway's proxy for schedulers, as the execute nodes reach it" $given.schedulerAddress }}
{{- $collector := required "condor.collector is needed: the HTCondor collector as the operator reaches it, for instance condor.example.org:9618" .Values.condor.collector }}
{{- $schedd := required "condor.schedd is needed: the access point's name, as condor_status -schedd shows it" .Values.condor.schedd }}
{{- $derived := dict
      "operatorId" ($id | trunc 63 | trimSuffix "-" | trimSuffix ".")
      "gatewayNamespaces" (list (include "htcdask.gatewayNamespace" .))
      "leader" (dict "namespace" .Release.Namespace "name" (include "htcdask.fullname" .))
      "accessPoint" (dict "collector" $collector "schedd" $schedd)
      "tokenFile" (printf "%s/token" (include "htcdask.tokenDirectory" .)) }}
{{- mergeOverwrite $given $derived | toYaml }}
{{- end }}
