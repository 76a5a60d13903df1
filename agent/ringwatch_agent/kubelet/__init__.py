"""Messages of the kubelet's pod-resources API, generated; nothing of our own."""
