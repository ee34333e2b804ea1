"""residency: raw textbooks and exam dumps in, a domain specialist and its report out."""
