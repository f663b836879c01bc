"""Azure Queue Storage on the queues of the local Functions host. See README.md."""
