WITH buyers AS (
  SELECT
    coalesce(country, '(unknown)') AS country,
    gender,
    productsBought AS bought,
    productsWished AS wished,
    socialProductsLiked AS liked,
    daysSinceLastLogin AS offline,
    socialNbFollowers AS followers,
    socialNbFollows AS follows,
    productsBought >= 10 AS is_top
  FROM silver_users
  WHERE productsBought > 0
)
SELECT
  country,
  count(*) AS buyers,
  count_if(is_top) AS topbuyers,
  round(100 * count_if(is_top) / count(*), 1) AS topbuyerratio,
  count_if(gender = 'F') AS femalebuyers,
  count_if(gender = 'M') AS malebuyers,
  count_if(is_top AND gender = 'F') AS topfemalebuyers,
  count_if(is_top AND gender = 'M') AS topmalebuyers,
  round(100 * count_if(gender = 'F') / count(*), 1) AS femalebuyersratio,
  round(try_divide(100 * count_if(is_top AND gender = 'F'), count_if(is_top)), 1)
    AS topfemalebuyersratio,
  round(try_divide(100 * sum(bought), sum(wished)), 2) AS boughtperwishlistratio,
  round(try_divide(100 * sum(bought), sum(liked)), 2) AS boughtperlikeratio,
  round(try_divide(100 * sum(bought) FILTER (WHERE is_top), sum(wished) FILTER (WHERE is_top)), 2)
    AS topboughtperwishlistratio,
  round(try_divide(100 * sum(bought) FILTER (WHERE is_top), sum(liked) FILTER (WHERE is_top)), 2)
    AS topboughtperlikeratio,
  sum(bought) AS totalproductsbought,
  coalesce(sum(wished), 0) AS totalproductswished,
  coalesce(sum(liked), 0) AS totalproductsliked,
  coalesce(sum(bought) FILTER (WHERE is_top), 0) AS toptotalproductsbought,
  coalesce(sum(wished) FILTER (WHERE is_top), 0) AS toptotalproductswished,
  coalesce(sum(liked) FILTER (WHERE is_top), 0) AS toptotalproductsliked,
  round(avg(bought), 1) AS meanproductsbought,
  round(avg(wished), 1) AS meanproductswished,
  round(avg(liked), 1) AS meanproductsliked,
  round(avg(bought) FILTER (WHERE is_top), 1) AS topmeanproductsbought,
  round(avg(wished) FILTER (WHERE is_top), 1) AS topmeanproductswished,
  round(avg(liked) FILTER (WHERE is_top), 1) AS topmeanproductsliked,
  round(avg(offline), 1) AS meanofflinedays,
  round(avg(offline) FILTER (WHERE is_top), 1) AS topmeanofflinedays,
  round(avg(followers), 1) AS meanfollowers,
  round(avg(follows), 1) AS meanfollowing,
  round(avg(followers) FILTER (WHERE is_top), 1) AS topmeanfollowers,
  round(avg(follows) FILTER (WHERE is_top), 1) AS topmeanfollowing
FROM buyers
GROUP BY country
ORDER BY topbuyers DESC, country
