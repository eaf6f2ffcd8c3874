"""Files and flags that no one should meet, through the command line."""
