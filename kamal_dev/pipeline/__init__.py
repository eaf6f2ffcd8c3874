"""The story of each verb, one file each. Start with deploy.py: it reads as a list."""
