-- A SQLite database of New API: the tables users, tokens, channels, options, abilities, logs and
-- top_ups as GORM makes them from model/*.go of QuantumNous/new-api (October 2026), with rows made up.
CREATE TABLE `channels` (`id` integer PRIMARY KEY AUTOINCREMENT,`type` integer DEFAULT 0,`key` text NOT NULL,`open_ai_organization` text,`test_model` text,`status` integer DEFAULT 1,`name` text,`weight` integer DEFAULT 0,`created_time` integer,`test_time` integer,`response_time` integer,`base_url` text DEFAULT "",`other` text,`balance` real,`balance_updated_time` integer,`models` text,`group` varchar(64) DEFAULT "default",`used_quota` integer DEFAULT 0,`model_mapping` text,`status_code_mapping` varchar(1024) DEFAULT "",`priority` integer DEFAULT 0,`auto_ban` integer DEFAULT 1,`other_info` text,`tag` text,`setting` text,`param_override` text,`header_override` text,`remark` varchar(255),`channel_info` json,`settings` text);
CREATE TABLE `tokens` (`id` integer PRIMARY KEY AUTOINCREMENT,`user_id` integer,`key` varchar(128),`status` integer DEFAULT 1,`name` text,`created_time` integer,`accessed_time` integer,`expired_time` integer DEFAULT -1,`remain_quota` integer DEFAULT 0,`unlimited_quota` numeric,`model_limits_enabled` numeric,`model_limits` text,`allow_ips` text DEFAULT "",`used_quota` integer DEFAULT 0,`group` text DEFAULT "",`cross_group_retry` numeric,`deleted_at` datetime);
CREATE TABLE `users` (`id` integer PRIMARY KEY AUTOINCREMENT,`username` text UNIQUE,`password` text NOT NULL,`display_name` text,`role` int DEFAULT 1,`status` int DEFAULT 1,`email` text,`github_id` text,`discord_id` text,`oidc_id` text,`wechat_id` text,`telegram_id` text,`access_token` char(32),`quota` int DEFAULT 0,`used_quota` int DEFAULT 0,`request_count` int DEFAULT 0,`group` varchar(64) DEFAULT "default",`aff_code` varchar(32),`aff_count` int DEFAULT 0,`aff_quota` int DEFAULT 0,`aff_history` int DEFAULT 0,`inviter_id` int,`deleted_at` datetime,`linux_do_id` text,`setting` text,`remark` varchar(255),`stripe_customer` varchar(64),`created_at` integer,`last_login_at` integer DEFAULT 0);
CREATE TABLE `options` (`key` text,`value` text,PRIMARY KEY (`key`));
CREATE TABLE `abilities` (`group` varchar(64),`model` varchar(255),`channel_id` integer,`enabled` numeric,`priority` integer DEFAULT 0,`weight` integer DEFAULT 0,`tag` text,PRIMARY KEY (`group`,`model`,`channel_id`));
CREATE TABLE `logs` (`id` integer PRIMARY KEY AUTOINCREMENT,`user_id` integer,`created_at` integer,`type` integer,`content` text,`quota` integer DEFAULT 0);
CREATE TABLE `top_ups` (`id` integer PRIMARY KEY AUTOINCREMENT,`user_id` integer,`amount` integer,`money` real,`trade_no` varchar(255),`status` text);

INSERT INTO users (id, username, password, display_name, role, status, email, quota, used_quota, `group`, aff_quota, access_token) VALUES
 (1, 'root', '$2a$10$notahash', 'Root User', 100, 1, '', 1000000000, 5, 'default', 0, 'a-management-token'),
 (2, 'ming', '$2a$10$notahash', '小明', 1, 1, 'Ming@example.org', 1234567, 7654321, 'vip', 250, NULL),
 (3, 'owes', '$2a$10$notahash', '', 1, 1, 'owes@example.org', -17, 400, 'default', 0, NULL),
 (4, 'off', '$2a$10$notahash', 'Switched Off', 1, 2, 'off@example.org', 900, 0, 'default', 0, NULL);
INSERT INTO users (id, username, password, display_name, role, status, email, quota, `group`, deleted_at) VALUES
 (5, 'gone', '$2a$10$notahash', 'Gone', 1, 1, 'gone@example.org', 40, 'default', '2026-01-02 03:04:05+00:00');

INSERT INTO tokens (id, user_id, `key`, status, name, created_time, expired_time, remain_quota, unlimited_quota, model_limits_enabled, model_limits, allow_ips, used_quota, `group`) VALUES
 (1, 2, 'kGq7wYbN3dT0hJ5sV9xZ1cR4mF8pL2aE6uI0oK7tB3nH5yWq', 1, 'laptop', 1700000000, -1, 500000, 0, 0, '', '', 12, ''),
 (2, 2, 'limitedlimitedlimitedlimitedlimitedlimited000001', 1, 'limited', 1700000000, 4102444800, 0, 1, 1, 'gpt-4o-mini,claude-sonnet-4-5', '127.0.0.1
10.0.0.5/8', 0, ''),
 (3, 2, 'expiredexpiredexpiredexpiredexpiredexpired000001', 3, 'old', 1700000000, 1700000001, 10, 0, 0, '', '', 0, ''),
 (4, 2, 'disableddisableddisableddisableddisabled00000001', 2, 'laptop', 1700000000, -1, 0, 1, 0, '', '', 0, ''),
 (5, 2, 'othergroupothergroupothergroupothergroup00000001', 1, 'cheap', 1700000000, -1, 0, 1, 0, '', '', 0, 'default'),
 (6, 3, 'owesowesowesowesowesowesowesowesowesowesowes0001', 1, 'default', 1700000000, -1, 0, 1, 0, '', '', 0, ''),
 (7, 5, 'gonegonegonegonegonegonegonegonegonegonegone0001', 1, 'default', 1700000000, -1, 0, 1, 0, '', '', 0, ''),
 (8, 1, 'rootrootrootrootrootrootrootrootrootrootroot0001', 1, '<script>alert(1)</script>', 1700000000, -1, 0, 1, 0, '', 'not an address', 0, 'auto');

INSERT INTO channels (id, type, `key`, status, name, weight, created_time, base_url, models, `group`, model_mapping, priority, tag, setting, channel_info) VALUES
 (1, 1, 'sk-upstream-one
sk-upstream-two', 1, 'main', 0, 1700000000, 'FAKE_URL', 'gpt-4o-mini,house-model', 'default,vip', '{"house-model": "gpt-4o"}', 10, 'eu', '', '{"is_multi_key":true,"multi_key_size":2,"multi_key_status_list":{"1":3},"multi_key_polling_index":0,"multi_key_mode":"random"}'),
 (2, 14, 'sk-ant-upstream', 1, 'claude', 3, 1700000000, '', 'claude-sonnet-4-5', 'vip', '', 0, NULL, '{"proxy":"socks5://10.0.0.1:1080"}', '{"is_multi_key":false}'),
 (3, 15, 'baidu-key', 1, 'baidu', 0, 1700000000, '', 'ERNIE-4.0-8K', 'default', '', 0, NULL, '', NULL),
 (4, 1, 'sk-inside', 1, 'inside', 0, 1700000000, 'http://169.254.169.254', 'gpt-4o-mini', 'default', '', 0, NULL, '', NULL),
 (5, 43, 'sk-deepseek', 2, 'main', 0, 1700000000, '', 'deepseek-chat', 'default', '', 0, NULL, '', NULL);

INSERT INTO options (`key`, value) VALUES
 ('QuotaPerUnit', '500000.000000'),
 ('ModelRatio', '{"gpt-4o-mini": 0.075, "claude-sonnet-4-5": 1.5, "house-model": 1.1, "never-served": 3}'),
 ('CompletionRatio', '{"gpt-4-gizmo-*": 2, "claude-sonnet-4-5": 99, "house-model": 2.5}'),
 ('CacheRatio', '{"gpt-4o-mini": 0.5, "claude-sonnet-4-5": 0.1}'),
 ('GroupRatio', '{"default": 1, "vip": 0.8, "svip": 0.5}'),
 ('SMTPToken', 'a secret of the mail server');
INSERT INTO logs (user_id, created_at, type, content, quota) VALUES (2, 1700000000, 2, 'x', 12), (2, 1700000001, 2, 'y', 13);
