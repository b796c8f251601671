"""The archive: versions of saved state from before, in a folder or an object store.

What is archived of a partition is what its state topics hold, record by record (`files`), so that
there is no second form of state: it is read back as the topics are. Where files are is in `store`,
how they are written in `writing` and read in `reading`.
"""
