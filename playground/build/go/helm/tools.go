//go:build tools

// Package tools keeps the program that the playground builds in go.mod.
package tools

import _ "helm.sh/helm/v3/cmd/helm"
