"""``[[proxies]]``: a backend over HTTP, in any language, decides and answers as handlers do.

May import: what lies below it; nothing of it is imported where no setting names one.
"""
