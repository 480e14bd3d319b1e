//! What a text costs: GSM-7 and UCS-2 segments.
