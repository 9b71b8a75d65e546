"""From several annotators' segments to one (Section III): association, merging (Eq. 1-4), agreement.

Times are integer microseconds throughout, and every comparison is made on integers, so that a tIoU of exactly
the threshold, or a duration of exactly the minimum, is never decided by rounding.
"""
