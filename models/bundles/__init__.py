"""A definition that travels: its modules and schemas as text, imported without the files.

`collecting` makes a bundle of a pipeline's file, `importing` a pipeline of a bundle. Each module is
imported under a name made of a digest (`naming`), so that two versions live side by side.
"""
