"""Pages and plots that a person reads: one HTML file each, which refers to nothing outside of it.

Here: templates, plots, the look of a page. Not here: what is measured (`comparison`, `evidence`).
"""
