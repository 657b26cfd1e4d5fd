"""A census of the Python standard library: what a large job looks like, and what a crash does to it.

Run `python -m examples.census`: more than a thousand source files are counted, one task each, below one task per
package and one for the whole. Half-way a worker process is killed. At the end nothing is missing.
"""
