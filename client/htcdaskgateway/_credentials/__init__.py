"""Credentials for data, from the notebook's files to the workers', over the cluster's own TLS."""
