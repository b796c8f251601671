"""What Millrace's chain `full` does with an event, as one would write it with River and fastavro.

The peers and the loop by hand share it where they do the same work as `full`. Each brings what is
its own: how records are read and written, and how the state is saved.
"""
