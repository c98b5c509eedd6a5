select distinct
    upper(trim(ref)) as advisory_id,
    upper(trim(disruption_ref)) as disruption_id,
    {{ name_code('waterway') }} as waterway,
    {{ local_to_utc('issued_local', 'zone') }} as issued_at,
    nullif(trim(authority_number), '') as authority_number,
    trim(issuer) as issuer,
    trim(headline) as headline,
    trim(text) as text,
    trim(citation_url) as citation_url
from read_csv('sources/advisories.csv', header = true, all_varchar = true)
