"""Programs from a model, run where they can do no harm: isolated, limited, and gone afterwards.

``Sandbox().run(job, limits)`` runs one program. The trusted side (this package) talks to a zygote,
an unprivileged Python that has never seen a test; the zygote forks a child for each run
(``inside``), and the child gives up everything but arithmetic before it reads the program.
"""
