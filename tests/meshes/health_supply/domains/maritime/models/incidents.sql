-- The first key word that fits tells who acted; 'suspicious' and 'suspected' go first, since they say that nobody is sure.
select
    reference,
    occurred_on,
    latitude,
    longitude,
    navarea,
    subregion,
    case
        when aggressor_text is null or regexp_matches(aggressor_text, '(?i)unknown|^n/?a$') then 'unknown'
        when regexp_matches(aggressor_text, '(?i)susp') then 'approach'
        when regexp_matches(aggressor_text, '(?i)pirat|hijack') then 'pirates'
        when regexp_matches(aggressor_text, '(?i)rob|thie[fv]|theft|bandit|burglar|stowaway') then 'robbers'
        when regexp_matches(aggressor_text, '(?i)board|intrud') then 'boarders'
        when regexp_matches(aggressor_text, '(?i)assail|attack|fired|gunm[ae]n|militant|rebel|kidnap|terror') then 'attackers'
        when regexp_matches(aggressor_text, '(?i)speed ?boat|small craft|skiff|approach') then 'approach'
        else 'other'
    end as aggressor,
    aggressor_text,
    victim
from {{ ref('stg_incidents') }}
