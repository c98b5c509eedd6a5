"""Operations on existing releases: verify, compare, copy, publish, rebuild, erase."""
