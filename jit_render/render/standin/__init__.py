"""The stand-in: a headless compositor on OpenImageIO and NumPy for machines without a Nuke licence.

It reads the same .nk script, runs the same ``init.py`` files, offers them the same ``nuke`` callback surface and
behaves like ``nuke -x`` where a render farm can tell: file names pass the filename filters when a knob is stored,
render callbacks bracket every frame, missing files are probed for, exit codes mean the same. Its pixels are
deterministic and sensible, not Nuke's.

::

    __main__ → session    flags, init.py, script, the loop over frames and Writes
               engine     pulls one node's image at a frame and view
               call       what an operation sees: knobs by name, input images
               registry   node class → operation; what is not in it is refused by name
               nodes/     the operations
               image      named planes, a data window, a format; never changed once made
               reader, writer   files
               nuke_module, callbacks   what init.py sees
"""
