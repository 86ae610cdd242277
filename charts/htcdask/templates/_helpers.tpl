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

{{- /*
The name of what has no namespace: two releases in one cluster must not share it. Namespaces have no dots, so the
first dot ends the namespace; a dash alone would make one name of team/a-htcdask and team-a/htcdask.
*/}}
{{- define "htcdask.clusterName" -}}
{{- $name := include "htcdask.fullname" . }}
{{- $separator := ternary "." "-" (or (contains "-" .Release.Namespace) (contains "." $name)) }}
{{- printf "%s%s%s" .Release.Namespace $separator $name }}
{{- end }}

{{- /*
The release ("namespace/name") that this cluster's CRD of a name belongs to, "nobody's release" for one that Helm did
not install, and nothing where there is no CRD, it is this release's, or nobody can look (helm template, GitOps).
*/}}
{{- define "htcdask.crdOwner" -}}
{{- $context := index . 0 }}
{{- $crd := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (index . 1) }}
{{- if $crd }}
{{- $notes := default dict $crd.metadata.annotations }}
{{- $name := get $notes "meta.helm.sh/release-name" }}
{{- $owner := printf "%s/%s" (get $notes "meta.helm.sh/release-namespace") $name }}
{{- if not $name }}
{{- "nobody's release" }}
{{- else if ne $owner (printf "%s/%s" $context.Release.Namespace $context.Release.Name) }}
{{- $owner }}
{{- end }}
{{- end }}
{{- end }}

{{- /*
What a release needs and does not make itself, one line for each that is not there; nothing where nobody can look
(helm template, GitOps: there even kube-system is not found).
*/}}
{{- define "htcdask.missing" -}}
{{- if lookup "v1" "Namespace" "" "kube-system" }}
{{- $token := .Values.condor.tokenSecret }}
{{- $secret := lookup "v1" "Secret" .Release.Namespace $token.name }}
{{- if not $secret }}
- the Secret {{ $token.name }} in namespace {{ .Release.Namespace }}: nothing is submitted until it comes
    kubectl -n {{ .Release.Namespace }} create secret generic {{ $token.name }} --from-file={{ $token.key }}=FILE
{{ else if not (get (default dict $secret.data) $token.key) }}
- the key {{ $token.key }} in the Secret {{ $token.name }} of namespace {{ .Release.Namespace }} (condor.tokenSecret.key):
  nothing is submitted until it comes
{{ end }}
{{- with .Values.gateway.serviceAccountName }}
{{- $namespace := default (include "htcdask.gatewayNamespace" $) $.Values.gateway.serviceAccountNamespace }}
{{- if not (lookup "v1" "ServiceAccount" $namespace .) }}
- the ServiceAccount {{ . }} in namespace {{ $namespace }} (gateway.serviceAccountName): without it the gateway
  cannot make pools; `kubectl -n {{ $namespace }} get serviceaccounts` shows those that are there
{{ end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "htcdask.selectorLabels" -}}
app.kubernetes.io/name: {{ include "htcdask.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "htcdask.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{ include "htcdask.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
{{- end }}

{{- define "htcdask.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "htcdask.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- required "serviceAccount.name is needed when serviceAccount.create is false" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- /* What every pod of this chart has, whatever runs in it. */}}
{{- define "htcdask.pod" -}}
serviceAccountName: {{ include "htcdask.serviceAccountName" . | quote }}
# The account itself mounts none: what else uses it shall say so, too.
automountServiceAccountToken: true
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* What every container of this chart has. */}}
{{- define "htcdask.container" -}}
image: {{ include "htcdask.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy | quote }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
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

{{- /* At most 63 characters, and still another one for every release. */}}
{{- define "htcdask.operatorId" -}}
{{- $id := printf "%s.%s" .Release.Namespace (include "htcdask.fullname" .) }}
{{- if gt (len $id) 63 }}
{{- printf "%s-%s" ($id | trunc 50) ($id | sha256sum | trunc 12) }}
{{- else }}
{{- $id }}
{{- end }}
{{- end }}

{{- /* What a schema cannot say: two values that must fit each other, and a hint. The operator holds its file to the same. */}}
{{- define "htcdask.together" -}}
{{- $healing := default dict .healing }}
{{- $first := float64 (default 10 $healing.backoffFirstSeconds) }}
{{- $last := float64 (default 600 $healing.backoffLastSeconds) }}
{{- if gt $first $last }}
{{- fail (printf "settings.healing.backoffFirstSeconds (%v) must not be longer than settings.healing.backoffLastSeconds (%v)" $first $last) }}
{{- end }}
{{- range $profile, $its := default dict .profiles }}
{{- range $attribute, $_ := default dict (default dict $its).attributes }}
{{- if regexMatch "^([+]|[Mm][Yy][.])" $attribute }}
{{- fail (printf "settings.profiles.%s.attributes.%s is how a submit file says it; here the attribute's name is %s" $profile $attribute (regexReplaceAll "^([+]|[Mm][Yy][.])" $attribute "")) }}
{{- end }}
{{- end }}
{{- end }}
{{- $expiry := float64 (default 3600 .jobExpirySeconds) }}
{{- $quiet := float64 (default 15 (default dict .poll).quietSeconds) }}
{{- if lt $expiry (mulf 4 $quiet) }}
{{- fail (printf "settings.jobExpirySeconds (%v) must be at least four times settings.poll.quietSeconds (%v): else idle jobs end before the operator says again that they are wanted" $expiry $quiet) }}
{{- end }}
{{- end }}

{{- /* The operator's settings file: .Values.settings, and what other values say. */}}
{{- define "htcdask.settings" -}}
{{- $given := deepCopy .Values.settings }}
{{- $id := default (include "htcdask.operatorId" .) $given.operatorId }}
{{- $address := required "settings.schedulerAddress is needed: host:port of the gateway's proxy for schedulers, as the execute nodes reach it" $given.schedulerAddress }}
{{- $collector := required "condor.collector is needed: the HTCondor collector as the operator reaches it, for instance condor.example.org:9618" .Values.condor.collector }}
{{- $schedd := required "condor.schedd is needed: the access point's name, as condor_status -schedd shows it" .Values.condor.schedd }}
{{- include "htcdask.together" $given }}
{{- $derived := dict
      "operatorId" $id
      "gatewayNamespaces" (list (include "htcdask.gatewayNamespace" .))
      "leader" (dict "namespace" .Release.Namespace "name" (include "htcdask.fullname" .))
      "accessPoint" (dict "collector" $collector "schedd" $schedd)
      "tokenFile" (printf "%s/token" (include "htcdask.tokenDirectory" .)) }}
{{- mergeOverwrite $given $derived | toYaml }}
{{- end }}

{{- /* Seconds that the hook before an uninstallation may take in all. */}}
{{- define "htcdask.uninstallDeadline" -}}
{{- add .Values.uninstall.seconds 150 }}
{{- end }}
