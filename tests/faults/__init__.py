"""Every fault that can be produced here, on real parts, and what holds afterwards. See docs/reliability.md."""
