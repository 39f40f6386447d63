"""Starts the other engine; here only its message is read."""

search_task_sys_msg = """Choose two numbers with a large product and a sum of at most 1."""
