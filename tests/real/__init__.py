"""Tests against real parts: engine, buildx, registry, hosts with systemd and sshd."""
