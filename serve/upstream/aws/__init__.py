"""What AWS asks of HTTP beyond JSON: signatures, and frames for events. Only here is botocore named."""
