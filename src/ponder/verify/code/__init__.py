"""Programs judged by tests: the candidate runs in the sandbox, and is compared out here.

What a test expects never enters the candidate's process, except for a ``CheckTest``, which can be
run in no other way and marks its judgement "weak".
"""
