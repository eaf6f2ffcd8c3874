"""Talk to hosts: observe, prepare, apply, send the source and images, wait for a lock."""
