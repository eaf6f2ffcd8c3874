"""Text that people write and read: bytes → text, YAML → nodes with their places, values → YAML. Knows no key."""
