"""What hosts have recorded, read from their files: journals, logs, and the archive of code.

Needs no host that runs, and disturbs none that does. The command line and the console read here, so both say the same.
What cannot be read is told to a function, and is no reason to end as long as something can be. Light: neither Channel
Access nor a host is loaded.
"""
