-- A SQLite database of One API: its tables as GORM makes them from model/*.go of
-- songquanpeng/one-api 0.6.11 (February 2025), with rows made up.
CREATE TABLE `channels` (`id` integer PRIMARY KEY AUTOINCREMENT,`type` integer DEFAULT 0,`key` text,`status` integer DEFAULT 1,`name` text,`weight` integer DEFAULT 0,`created_time` integer,`test_time` integer,`response_time` integer,`base_url` text DEFAULT "",`other` text,`balance` real,`balance_updated_time` integer,`models` text,`group` varchar(32) DEFAULT "default",`used_quota` integer DEFAULT 0,`model_mapping` varchar(1024) DEFAULT "",`priority` integer DEFAULT 0,`config` text,`system_prompt` text);
CREATE TABLE `tokens` (`id` integer PRIMARY KEY AUTOINCREMENT,`user_id` integer,`key` char(48),`status` integer DEFAULT 1,`name` text,`created_time` integer,`accessed_time` integer,`expired_time` integer DEFAULT -1,`remain_quota` integer DEFAULT 0,`unlimited_quota` numeric DEFAULT false,`used_quota` integer DEFAULT 0,`models` text,`subnet` text DEFAULT "");
CREATE TABLE `users` (`id` integer PRIMARY KEY AUTOINCREMENT,`username` text UNIQUE,`password` text NOT NULL,`display_name` text,`role` int DEFAULT 1,`status` int DEFAULT 1,`email` text,`github_id` text,`wechat_id` text,`lark_id` text,`oidc_id` text,`access_token` char(32),`quota` integer DEFAULT 0,`used_quota` integer DEFAULT 0,`request_count` int DEFAULT 0,`group` varchar(32) DEFAULT "default",`aff_code` varchar(32),`inviter_id` int);
CREATE TABLE `options` (`key` text,`value` text,PRIMARY KEY (`key`));
CREATE TABLE `redemptions` (`id` integer PRIMARY KEY AUTOINCREMENT,`user_id` integer,`key` char(32),`status` integer DEFAULT 1,`name` text,`quota` integer DEFAULT 100,`created_time` integer,`redeemed_time` integer);

INSERT INTO users (id, username, password, display_name, role, status, email, quota, used_quota, `group`) VALUES
 (1, 'root', '$2a$10$notahash', 'Root User', 100, 1, '', 0, 0, 'default'),
 (2, 'lin', '$2a$10$notahash', 'Lin', 1, 1, 'lin@example.org', 5000001, 9, 'default');
INSERT INTO tokens (id, user_id, `key`, status, name, expired_time, remain_quota, unlimited_quota, models, subnet) VALUES
 (1, 2, 'aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2bC4dE6fG8hJ0', 1, 'app', -1, 0, 1, NULL, ''),
 (2, 2, 'bB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2bC4dE6fG8hJ0', 4, 'used up', -1, 0, 0, 'gpt-4o-mini', '10.0.0.0/8,192.168.1.1');
INSERT INTO channels (id, type, `key`, status, name, weight, base_url, models, `group`, model_mapping, priority) VALUES
 (1, 50, 'sk-upstream-one', 1, 'fake', 0, 'FAKE_URL/v1', 'gpt-4o-mini,gpt-3.5-turbo-0613', 'default', '', 0);
INSERT INTO options (`key`, value) VALUES
 ('ModelRatio', '{"gpt-4o-mini": 0.075, "gpt-3.5-turbo-0613": 0.75}');
INSERT INTO redemptions (user_id, `key`, status, name, quota) VALUES (1, '0123456789abcdef0123456789abcdef', 1, 'gift', 100);
