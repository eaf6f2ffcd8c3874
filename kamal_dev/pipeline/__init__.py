"""The story of each verb, one file each. Start with deploy.py, which reads as a list of steps."""
