# Verify that the gateway is responding to requests by asking to list all its clusters
clusters = gateway.list_clusters()
clusters
cluster = gateway.connect(cluster_name)
cluster
cluster.shutdown()
