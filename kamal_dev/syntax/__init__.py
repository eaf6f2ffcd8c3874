"""Text that people write and read: bytes → text, YAML → nodes with places, values → YAML. Knows no key."""
