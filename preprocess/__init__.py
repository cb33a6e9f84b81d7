"""The fused image pipeline: several stages of preprocessing as one pass, from the bucket to the bucket.

::

    pipeline.py  pipeline_file.py     what a TD writes, checked
    image.py     operations/          pixels in, pixels out
    passes.py                         what one pass reads, keeps and writes, and how much memory that takes
    source.py    encode.py            objects to pixels and pixels to objects, in memory
    window.py    chain.py             operations over a moving window of frames, whole or in strips
    publish.py   made.py              outputs to the bucket with their commit records; what need not be made again
    task.py      render.py            the images of one task of a job; the process that the farm starts
    submission.py gather.py           a pipeline as a job; what a job's frames come to in the end
    cli/                              jit-preprocess
"""
