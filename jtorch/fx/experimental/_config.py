"""Settings."""

enrich_profiler_metadata = False
backed_size_oblivious = False
