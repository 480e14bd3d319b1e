//! The two laws of telephone sound, mu-law and A-law.
